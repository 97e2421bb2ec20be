"""Pure functions from data to figures: no Streamlit, no training. Altair for live charts, Plotly for finished runs."""
