"""The registry as workers hold it: records, the table, and how it is kept new."""
