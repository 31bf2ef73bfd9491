"""What people see, and what they can press."""
