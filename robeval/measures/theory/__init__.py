"""The examples and theorems of the papers: closed forms beside simulations."""
