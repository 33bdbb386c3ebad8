"""Reading a framework's route table."""
