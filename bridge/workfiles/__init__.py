"""The files of a session's folder: uploading, finding, listing and previewing them.

Invariant: nothing outside the folder is opened, whatever names, links and races there are in it.
"""
