lab "x" {}
variable "keys" {
  default   = ["s3cret"]
  sensitive = true
}
bridge "b" {
  for_each = toset(var.keys)
}
