lab "demo" {}

host {
  forwarding = false
}

network "inner" {
  mode      = "route"
  addresses = ["10.77.0.1/24"]
}

network "alone" {
  mode      = "isolated"
  addresses = ["10.78.0.1/24"]
}
