"""Files from the web: downloaded, checked, unpacked."""
