"""Packets and ratings on their way in: checked, limited, handed to the store."""
