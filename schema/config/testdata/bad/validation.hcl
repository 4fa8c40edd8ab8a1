lab "x" {}
variable "n" {
  default = 7
  validation {
    condition     = var.n < 5
    error_message = "At most 4 sites fit."
  }
}
