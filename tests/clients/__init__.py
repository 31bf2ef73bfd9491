"""Small applications, each with its own way to use what the library gives.

They keep to what is published, as applications do that were written for the original: nothing here
begins with an underscore but what these may define in their subclasses.
"""
