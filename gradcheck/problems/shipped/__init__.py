"""The problems that come with gradcheck: one file is one problem, written as a user would write it."""
