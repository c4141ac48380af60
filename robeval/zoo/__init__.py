"""From a card to something that answers with logits."""
