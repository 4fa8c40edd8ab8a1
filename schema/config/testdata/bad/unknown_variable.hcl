lab "x" {}
variable "nat_type" {
  default = "symmetric"
}
output "o" {
  value = var.nat_typ
}
