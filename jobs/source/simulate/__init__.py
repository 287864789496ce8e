"""Believable operational data: `movies/` of an audience, and here card transactions.

Those follow the rules of the Fraud Detection Handbook (chapter 3, Le Borgne et al.).
"""
