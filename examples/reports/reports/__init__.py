"""An example of zc.async: users ask for reports over stored sales, and durable jobs make them."""
