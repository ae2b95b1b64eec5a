"""Damaged and hostile files for every reader of the library: each must be read, or refused with a UserError."""
