"""What everything is divided by. These files are frozen: a reference that is tuned is no reference."""
