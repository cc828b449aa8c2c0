"""Growth: when more traffic meets a limit, and what would put it off."""
