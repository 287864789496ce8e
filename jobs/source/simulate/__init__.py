"""Believable card transactions, by the rules of the Fraud Detection Handbook (chapter 3, Le Borgne et al.)."""
