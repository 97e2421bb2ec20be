"""Panels: plain data in, Streamlit elements out."""
