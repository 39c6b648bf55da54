"""How pages with charts look, in light and dark, with nothing from elsewhere."""

STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
padding: 0 1rem; } svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; opacity: .7; }
svg .grid { stroke: currentColor; opacity: .15; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid #8884; }
pre { white-space: pre-wrap; margin: 0; font: inherit; } .state { opacity: .7; }
"""
