"""The leaderboard as one page that needs nothing else: what is on it, its charts, and its form."""
