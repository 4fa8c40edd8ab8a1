lab "x" {}
variable "ports" {
  type    = list(number)
  default = ["ssh"]
}
