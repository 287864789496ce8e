"""Simulate realistic operational data: card transactions here, an audience in `movies/`.

Transactions follow the rules of the Fraud Detection Handbook (chapter 3, Le Borgne et al.).
"""
