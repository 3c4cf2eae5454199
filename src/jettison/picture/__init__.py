"""The stage graph as a picture: laid out and written as text, SVG, DOT, Mermaid or JSON."""
