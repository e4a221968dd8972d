"""A page in the browser that shows the sessions live: index.html, page.css and page.js, and what they ask for."""
