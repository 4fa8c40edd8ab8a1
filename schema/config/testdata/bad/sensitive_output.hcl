lab "x" {}
variable "key" {
  default   = "s3cret"
  sensitive = true
}
output "o" {
  value = "key: ${var.key}"
}
