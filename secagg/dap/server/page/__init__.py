"""A page in the browser that shows an operator how an Aggregator is: content.html, page.css and page.js, and what they
ask for. See `secagg.http.page`."""
