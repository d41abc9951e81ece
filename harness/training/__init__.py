"""Training: the loop, schedules, budgets, evaluation, and the stages made of them."""
