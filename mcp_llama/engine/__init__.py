"""The token loop. It knows neither MCP nor HTTP nor chat."""
