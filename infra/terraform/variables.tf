variable "name" {
  description = "The table's name, as in TrackerClient::builder(..).table(..)."
  type        = string
  default     = "tasks"
}

variable "tags" {
  description = "Tags of all that is made."
  type        = map(string)
  default     = {}
}
