"""Transfer methods: recipes that turn a trial into stages. One file a family of methods."""
