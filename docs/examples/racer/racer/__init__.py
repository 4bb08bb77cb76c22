"""A robot and a task of one's own, outside Tether's tree."""
