"""What only maintainers run: mutants, and what makes pages of the documentation."""
