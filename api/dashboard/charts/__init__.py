"""Charts drawn by the server as small inline SVG, and the time series that a script may make livelier.

They hold no style: colours are classes of `static/app.css`, so that both themes and print are one drawing. Every chart
stands beside a table of the same numbers, which is what a screen reader gets.
"""
