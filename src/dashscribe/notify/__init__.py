"""Callbacks for finished tasks: who is told (targets), what (events), how that goes (deliveries), signed by whom.

An event is stored in the transaction that ends its task, with a delivery for every target that wants it; a crew of the
worker sends what is due. At least once, in no particular order.
"""
