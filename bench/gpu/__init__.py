"""All measurements that need a GPU, most important first, for a machine rented by the minute."""
