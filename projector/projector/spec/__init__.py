"""The resource as people write it (`models`) and the immutable part of it that a build is made of (`definition`)."""
