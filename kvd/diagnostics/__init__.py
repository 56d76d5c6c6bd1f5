"""What those who watch over a member are told: metrics and figures of the process."""
