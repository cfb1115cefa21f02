"""The reference of the API as web pages, made from its OpenAPI description; they load nothing from anywhere else."""
