"""The GitLab forge against the fake GitLab: faults, limits, rules, people, logins."""
