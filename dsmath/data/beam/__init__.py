"""The stages as Apache Beam pipelines, on this machine or by another runner. Nothing else imports Beam."""

import logging

logging.disable(logging.WARNING)  # importing Beam warns of clients for BigQuery, which nobody asked for
try:
    import apache_beam  # noqa: F401
finally:
    logging.disable(logging.NOTSET)
