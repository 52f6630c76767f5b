"""A bounded queue per revision, and slots on its pods."""
