"""The group `backend-ai`: reads Backend.AI's own event stream live, and records it in our log."""
