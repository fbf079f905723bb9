"""The forge: from one plain function to proved, tuned variants."""
