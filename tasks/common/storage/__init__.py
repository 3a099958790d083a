"""What is kept between runs: audio (`artifacts`), results (`result_records`), when each was last used, and copies of what lies far away."""
