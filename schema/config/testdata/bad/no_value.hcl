lab "x" {}
variable "site" {
  type = string
}
