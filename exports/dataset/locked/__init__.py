"""Parts of recipe.lock.json that have rules of their own."""
