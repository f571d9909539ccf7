output "table_name" {
  description = "For the client's builder."
  value       = aws_dynamodb_table.this.name
}

output "table_arn" {
  description = "For policies of your own."
  value       = aws_dynamodb_table.this.arn
}

output "worker_policy_arn" {
  description = "To attach to the role of whatever takes and finishes tasks."
  value       = aws_iam_policy.worker.arn
}

output "operator_policy_arn" {
  description = "To attach to the role of whoever operates on tasks."
  value       = aws_iam_policy.operator.arn
}
