"""From blocks and the traffic between them to sites and routes; knows no neural networks."""
