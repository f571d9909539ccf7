# The table of dynamo-tracker, and the permissions that a worker and an operator need: what infra/table.json has, for Terraform.

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119:AWS's own key for DynamoDB encrypts it. A key of yours costs, and needs its own permissions.
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  deletion_protection_enabled = true
  tags                        = var.tags

  attribute {
    name = "id"
    type = "S"
  }

  attribute {
    name = "shard"
    type = "S"
  }

  attribute {
    name = "due_time"
    type = "N"
  }

  global_secondary_index {
    name            = "by_due_time"
    hash_key        = "shard"
    range_key       = "due_time"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "expire_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
  }
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "Tasks"
    effect    = "Allow"
    actions   = ["dynamodb:UpdateItem", "dynamodb:GetItem"]
    resources = [aws_dynamodb_table.this.arn]
  }

  statement {
    sid       = "Index"
    effect    = "Allow"
    actions   = ["dynamodb:Query"]
    resources = ["${aws_dynamodb_table.this.arn}/index/by_due_time"]
  }
}

data "aws_iam_policy_document" "operator" {
  statement {
    sid    = "Tasks"
    effect = "Allow"
    actions = [
      "dynamodb:UpdateItem",
      "dynamodb:PutItem",
      "dynamodb:GetItem",
      "dynamodb:BatchGetItem",
      "dynamodb:DeleteItem",
      "dynamodb:Scan",
    ]
    resources = [aws_dynamodb_table.this.arn]
  }

  statement {
    sid       = "Index"
    effect    = "Allow"
    actions   = ["dynamodb:Query"]
    resources = ["${aws_dynamodb_table.this.arn}/index/by_due_time"]
  }
}

resource "aws_iam_policy" "worker" {
  name_prefix = "${var.name}-worker-"
  description = "What start, run, every outcome and a Worker that finds tasks need, and nothing else."
  policy      = data.aws_iam_policy_document.worker.json
  tags        = var.tags
}

resource "aws_iam_policy" "operator" {
  name_prefix = "${var.name}-operator-"
  description = "What create, query, stats, redrive, ignore, unlock and delete need, and nothing else."
  policy      = data.aws_iam_policy_document.operator.json
  tags        = var.tags
}
