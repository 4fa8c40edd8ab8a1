lab "x" {}
variable "ports" {
  type = lst(number)
}
