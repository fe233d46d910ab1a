"""The kill switch dialog."""
